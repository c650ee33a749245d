import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from robot.policy import schedule

OPTIONS = {"num_train_timesteps": 100, "beta_schedule": "squaredcos_cap_v2"}


def test_alpha_bars_equal_those_of_diffusers():
    ours = schedule.alpha_bars(schedule.squared_cosine_betas(100))
    torch.testing.assert_close(ours, DDPMScheduler(**OPTIONS).alphas_cumprod, atol=1e-5, rtol=0)


def test_add_noise_equals_that_of_diffusers():
    clean, noise, step = (
        torch.randn(5, 16, 7),
        torch.randn(5, 16, 7),
        torch.tensor([0, 10, 50, 98, 99]),
    )
    alpha_bar = schedule.alpha_bars(schedule.squared_cosine_betas(100))[step][:, None, None]
    expected = DDPMScheduler(**OPTIONS).add_noise(clean, noise, step)
    torch.testing.assert_close(
        schedule.add_noise(clean, noise, alpha_bar), expected, atol=1e-5, rtol=0
    )


def test_add_noise_of_a_hand_computed_value():
    noisy = schedule.add_noise(
        torch.full((1, 1, 7), 2.0), torch.full((1, 1, 7), 10.0), torch.tensor([[[0.64]]])
    )
    torch.testing.assert_close(noisy, torch.full((1, 1, 7), 0.8 * 2 + 0.6 * 10))


@pytest.mark.parametrize("sample_steps", [1, 7, 8, 10, 100])
def test_ddim_timesteps_equal_the_trailing_ones_of_diffusers(sample_steps):
    scheduler = DDIMScheduler(**OPTIONS, timestep_spacing="trailing")
    scheduler.set_timesteps(sample_steps)
    assert schedule.ddim_timesteps(100, sample_steps).tolist() == scheduler.timesteps.tolist()


@pytest.mark.parametrize("prediction", schedule.PREDICTIONS)
def test_ddim_sampling_equals_that_of_diffusers(prediction):
    options = {"timestep_spacing": "trailing", "prediction_type": prediction, "clip_sample": True}
    scheduler = DDIMScheduler(**OPTIONS, **options)
    scheduler.set_timesteps(10)
    bars = schedule.alpha_bars(schedule.squared_cosine_betas(100))
    steps = schedule.ddim_timesteps(100, 10).tolist()
    levels = [*bars[steps], torch.tensor(1.0)]
    torch.manual_seed(0)
    ours = theirs = torch.randn(3, 16, 7)
    for i, step in enumerate(steps):
        predicted = 0.5 * torch.randn(3, 16, 7)  # stands for the denoiser
        theirs = scheduler.step(predicted, step, theirs, use_clipped_model_output=True).prev_sample
        clean = schedule.clean_from_prediction(predicted, ours, levels[i], prediction).clamp(-1, 1)
        ours = schedule.ddim_step(ours, clean, alpha_bar=levels[i], alpha_bar_next=levels[i + 1])
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_v_target_equals_the_velocity_of_diffusers():
    clean, noise, step = torch.randn(2, 4, 7), torch.randn(2, 4, 7), torch.tensor([3, 70])
    alpha_bar = schedule.alpha_bars(schedule.squared_cosine_betas(100))[step][:, None, None]
    expected = DDPMScheduler(**OPTIONS).get_velocity(clean, noise, step)
    torch.testing.assert_close(
        schedule.prediction_target(clean, noise, alpha_bar, "v_prediction"), expected
    )


@pytest.mark.parametrize("prediction", schedule.PREDICTIONS)
def test_clean_from_prediction_inverts_prediction_target(prediction):
    clean, noise, alpha_bar = torch.randn(2, 4, 7), torch.randn(2, 4, 7), torch.full((2, 1, 1), 0.3)
    target = schedule.prediction_target(clean, noise, alpha_bar, prediction)
    noisy = schedule.add_noise(clean, noise, alpha_bar)
    torch.testing.assert_close(
        schedule.clean_from_prediction(target, noisy, alpha_bar, prediction),
        clean,
        atol=1e-5,
        rtol=0,
    )


def test_gaussian_draws_the_same_numbers_for_the_same_seed():
    def draw():
        return schedule.gaussian(
            (3,), device=torch.device("cpu"), generator=torch.Generator().manual_seed(4)
        )

    assert torch.equal(draw(), draw())
