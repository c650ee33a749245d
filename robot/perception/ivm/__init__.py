"""Instruction-guided Visual Masking as published (Zheng et al., arXiv 2405.19783): SAM ViT-H,
LLaVA-1.5-7B, a decoder.

One stage per file: sam_encoder, llava_condition, decoder; model composes them, discriminator scores
masks with the same parts, pretrained finds the weights. Needs the extra `ivm` (peft), and for the
full size a GPU.
"""
