// A camera's picture on a canvas, with masks and regions on it; a person draws boxes and clicks.

const CLICK_PX = 4; // of movement: less is a click
const ROLES = ["destination", "target", "gripper"]; // in the order in which they are drawn

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function pathOf(rings) {
  const path = new Path2D();
  for (const ring of rings) {
    ring.forEach(([x, y], k) => (k ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
  }
  return path;
}

export class View {
  /** `onBox([x0, y0, x1, y1])` and `onClick([x, y])` get pixels of the camera's frame. */
  constructor(canvas, { onBox, onClick }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.bitmap = null;
    this.camera = null;
    this.outlines = [];
    this.regions = [];
    this.segments = [];
    this.under = null; // where the pointer is, while nothing is drawn
    this.enabled = false;
    this.start = null;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.end(event, onBox, onClick));
    canvas.addEventListener("pointerleave", () => { this.under = null; this.draw(); });
    canvas.addEventListener("pointercancel", () => { this.start = null; this.draw(); });
    this.stage = canvas.closest(".stage");
    new ResizeObserver(() => this.fit()).observe(this.stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(changed) {
    const before = this.camera;
    Object.assign(this, changed);
    this.canvas.classList.toggle("still", !this.enabled);
    if (this.camera && JSON.stringify(before) !== JSON.stringify(this.camera)) this.fit();
    else this.draw();
  }

  /** Make the canvas as large as its place allows, at the camera's own aspect. */
  fit() {
    if (!this.camera) return;
    const { clientWidth, clientHeight } = this.stage;
    const aspect = this.camera.width / this.camera.height;
    const narrow = matchMedia("(max-width: 60rem)").matches;
    const height = narrow ? clientWidth / aspect : Math.min(clientHeight, clientWidth / aspect);
    const width = height * aspect;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * devicePixelRatio);
    this.canvas.height = Math.round(height * devicePixelRatio);
    this.draw();
  }

  /** Return where an event is, in pixels of the camera's frame. */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.camera.width,
      ((event.clientY - box.top) / box.height) * this.camera.height,
    ];
  }

  begin(event) {
    if (!this.enabled || !this.camera || event.button > 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.start = { at: this.place(event), x: event.clientX, y: event.clientY };
    this.now = this.start.at;
  }

  move(event) {
    if (this.start) this.now = this.place(event);
    else if (this.segments.length) this.under = this.place(event);
    else return;
    this.draw();
  }

  end(event, onBox, onClick) {
    if (!this.start) return;
    const { at, x, y } = this.start;
    this.start = null;
    this.draw();
    if (Math.hypot(event.clientX - x, event.clientY - y) < CLICK_PX) onClick(at);
    else onBox([...at, ...this.place(event)]);
  }

  draw() {
    const { context, canvas, camera } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!camera) return;
    context.imageSmoothingQuality = "high";
    if (this.bitmap) context.drawImage(this.bitmap, 0, 0, canvas.width, canvas.height);
    const scale = canvas.width / camera.width;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    this.unit = devicePixelRatio / scale; // one CSS pixel
    for (const role of ROLES) {
      for (const outline of this.outlines) {
        if (outline.role === role && outline.camera === camera.name) {
          this.rings(outline.rings, css(`--${role}`), role === "gripper" ? 0.1 : 0.32);
        }
      }
    }
    this.drawSegments(this.segments.filter((segment) => segment.camera === camera.name));
    for (const region of this.regions) {
      if (region.camera === camera.name) this.region(region);
    }
    if (this.start) this.box([...this.start.at, ...this.now], { dashed: true });
  }

  /** Outline all segments, and fill the smallest one under the pointer: what a click would take. */
  drawSegments(segments) {
    const { context, unit, under } = this;
    const paths = segments.map(({ rings }) => pathOf(rings));
    for (const [colour, width] of [["rgb(255 255 255 / .8)", 3], [css("--accent"), 1.2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * unit;
      for (const path of paths) context.stroke(path);
    }
    if (!under) return;
    const size = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
    const scale = this.canvas.width / this.camera.width;
    const [best] = segments
      .filter((_, k) => context.isPointInPath(paths[k], under[0] * scale, under[1] * scale, "evenodd"))
      .sort((one, other) => size(one.bounds) - size(other.bounds));
    if (best) this.rings(best.rings, css("--accent"), 0.35);
  }

  rings(rings, colour, opacity) {
    const path = pathOf(rings);
    const { context } = this;
    context.fillStyle = context.strokeStyle = colour;
    context.globalAlpha = opacity;
    context.fill(path, "evenodd");
    context.globalAlpha = 1;
    context.lineWidth = 2 * this.unit;
    context.lineJoin = "round";
    context.stroke(path);
  }

  region(region) {
    const accent = css("--accent");
    if (region.rings.length) this.rings(region.rings, accent, 0.25);
    if (region.box) this.box(region.box);
    const [x, y] = region.click ?? region.bounds;
    if (region.click) this.disc(x, y, 5, accent);
    this.label(x, y, String(region.index), Boolean(region.click));
  }

  box([x0, y0, x1, y1], { dashed = false } = {}) {
    const { context, unit } = this;
    const path = new Path2D();
    path.roundRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0), 3 * unit);
    context.setLineDash(dashed ? [6 * unit, 4 * unit] : []);
    for (const [colour, width] of [["rgb(255 255 255 / .85)", 4.5], [css("--accent"), 2.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * unit;
      context.stroke(path);
    }
    context.setLineDash([]);
  }

  disc(x, y, radius, colour) {
    const { context, unit } = this;
    context.beginPath();
    context.arc(x, y, radius * unit, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
    context.strokeStyle = "#fff";
    context.lineWidth = 2 * unit;
    context.stroke();
  }

  label(x, y, text, above) {
    const { context, unit } = this;
    const centre = [x, Math.max(y - (above ? 16 * unit : 0), 11 * unit)];
    this.disc(...centre, 11, css("--accent"));
    context.fillStyle = css("--on-accent");
    context.font = `650 ${13 * unit}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(text, centre[0], centre[1] + 0.5 * unit);
  }
}
