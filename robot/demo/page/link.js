// The websocket to the robot: states and pictures in, commands out; it connects again by itself.

const AGAIN_MS = 1000;

export class Link {
  /** Call `onState(state)`, `onPicture(camera, bitmap)`, `onProblem(text)` and `onLink(connected)`. */
  constructor({ onState, onPicture, onProblem, onLink }) {
    Object.assign(this, { onState, onPicture, onProblem, onLink });
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/live`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.onLink(true);
    this.socket.onmessage = ({ data }) => this.take(data);
    this.socket.onclose = () => {
      this.onLink(false);
      setTimeout(() => this.connect(), AGAIN_MS);
    };
  }

  async take(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.state) this.onState(message.state);
      if (message.problem) this.onProblem(message.problem);
      return;
    }
    const bytes = new Uint8Array(data);
    const end = 1 + bytes[0];
    const camera = new TextDecoder().decode(bytes.subarray(1, end));
    const bitmap = await createImageBitmap(new Blob([bytes.subarray(end)], { type: "image/jpeg" }));
    this.onPicture(camera, bitmap);
  }

  get connected() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** Send a command: `kind` and what belongs to it, or the bytes of a picture. */
  send(kind, values = {}) {
    if (this.connected) this.socket.send(JSON.stringify({ do: kind, ...values }));
  }

  sendBytes(buffer) {
    if (this.connected) this.socket.send(buffer);
  }
}
