// The camera or screen of this browser. One frame is under way at a time: the next is taken when the last was answered,
// so that a slow machine drops frames and never lags. No WebRTC connection is made; frames go where the page came from.
const SIDE = 640, QUALITY = 0.9, TICK_MS = 15, LOST_MS = 5000, STRIP_S = 60, LEFT = 60, BOTTOM = 18
const COLORS = { high: "#D55E00", low: "#009E73", middle: "#E69F00", none: "#8A8A8A" }
const views = new WeakMap()

export default function ({ data, parentElement, setStateValue }) {
  let view = views.get(parentElement)
  if (!view) {
    view = build(parentElement, data.texts)
    views.set(parentElement, view)
  }
  view.texts = data.texts
  view.send = (frame) => setStateValue("frame", frame)
  answered(view, data)
}

function build(parent, texts) {
  const make = (name, style, text = "") => {
    const element = document.createElement(name)
    element.style.cssText = style
    element.textContent = text
    parent.appendChild(element)
    return element
  }
  const button = "margin: 0 8px 8px 0; padding: 6px 14px; font: inherit; cursor: pointer"
  const view = { seq: 0, answeredSeq: 0, sentAt: 0, faces: [], strip: [], delays: [], data: {}, texts }
  const camera = make("button", button, texts.start)
  const screen = make("button", button, texts.share)
  const stop = make("button", button, texts.stop)
  view.words = make("div", "min-height: 24px; color: var(--st-text-color)")
  view.words.setAttribute("role", "status")
  view.shown = make("canvas", "display: block; max-width: 100%; background: #222")
  view.chart = make("canvas", "display: block; max-width: 100%; margin-top: 6px")
  view.shown.width = SIDE
  view.shown.height = 480
  view.chart.width = SIDE
  view.chart.height = 108
  view.shown.setAttribute("aria-label", texts.view)
  view.chart.setAttribute("aria-label", texts.strip)
  view.video = document.createElement("video")
  view.video.muted = view.video.playsInline = true
  view.sent = document.createElement("canvas")
  const devices = window.isSecureContext ? navigator.mediaDevices : undefined
  if (!devices) {
    camera.disabled = screen.disabled = stop.disabled = true
    say(view, texts.insecure)
    return view
  }
  camera.onclick = () => start(view, () => devices.getUserMedia({ video: { width: 640, height: 480 }, audio: false }))
  screen.onclick = () => start(view, () => devices.getDisplayMedia({ video: true, audio: false }))
  stop.onclick = () => end(view)
  say(view, view.texts.off)
  return view
}

function say(view, text) {
  view.words.textContent = text
}

async function start(view, open) {
  end(view)
  try {
    view.stream = await open()
    view.video.srcObject = view.stream
    await view.video.play()
  } catch (problem) {
    const none = problem.name === "NotFoundError" || problem.name === "OverconstrainedError"
    const denied = problem.name === "NotAllowedError"
    const cause = none ? view.texts.missing : denied ? view.texts.denied : problem.name
    say(view, fill(view.texts.failed, { cause }))
    return
  }
  view.data = {}
  view.faces = []
  view.seq = Math.max(view.seq, view.answeredSeq)
  view.answeredSeq = view.seq
  view.timer = setInterval(() => tick(view), TICK_MS)
}

function end(view) {
  clearInterval(view.timer)
  for (const track of view.stream ? view.stream.getTracks() : []) track.stop()
  view.stream = undefined
  say(view, view.texts.off)
}

function tick(view) {
  if (!view.shown.isConnected) return end(view)
  const { videoWidth: width, videoHeight: height } = view.video
  if (!width) return
  if (!view.data.seq) draw(view, view.video, width, height) // from the first answer on, the frame that was scored
  const now = Date.now()
  if (view.seq !== view.answeredSeq && now - view.sentAt < LOST_MS) return
  const scale = Math.min(1, SIDE / Math.max(width, height))
  view.sent.width = Math.round(width * scale)
  view.sent.height = Math.round(height * scale)
  view.sent.getContext("2d", { willReadFrequently: true }).drawImage(view.video, 0, 0, view.sent.width, view.sent.height)
  const jpeg = view.sent.toDataURL("image/jpeg", QUALITY).split(",")[1]
  view.seq += 1
  view.sentAt = now
  view.send({ seq: view.seq, jpeg, taken_ms: now })
}

function answered(view, data) {
  if (!data || !data.seq || data.seq === view.answeredSeq) return
  view.answeredSeq = data.seq
  view.seq = Math.max(view.seq, data.seq)
  if (!view.stream) return
  const now = Date.now()
  if (data.seq === view.seq) view.delays = [...view.delays.slice(-29), now - view.sentAt]
  view.data = data
  view.faces = data.faces
  view.strip = view.strip.filter((point) => now - point.at < STRIP_S * 1000)
  for (const face of data.faces) if (face.score !== null) view.strip.push({ at: now, id: face.id, score: face.score })
  const delay = [...view.delays].sort((a, b) => a - b)[view.delays.length >> 1]
  const speed = fill(data.rate ? view.texts.speed : view.texts.delay, { rate: data.rate?.toFixed(1), delay })
  const faces = data.faces.map((face) => describe(view.texts, face)).join("; ") || view.texts.nobody
  say(view, data.problem || `${speed}. ${faces}.`)
  if (data.seq === view.seq) draw(view, view.sent, view.sent.width, view.sent.height)
  strip(view)
  setTimeout(() => tick(view)) // at once: the timer alone would lose half a tick a frame
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name])
}

function describe(texts, { id, score, problem }) {
  if (score === null) return fill(texts.unscored, { id, problem: problem || texts.problem })
  return fill(texts.face, { id, score: score.toFixed(2) })
}

function color(view, score) {
  if (score === null) return COLORS.none
  return score >= view.data.upper ? COLORS.high : score <= view.data.lower ? COLORS.low : COLORS.middle
}

function draw(view, picture, width, height) {
  view.shown.height = Math.round((view.shown.width * height) / width)
  const pen = view.shown.getContext("2d")
  pen.drawImage(picture, 0, 0, view.shown.width, view.shown.height)
  pen.font = "16px sans-serif"
  for (const face of view.faces) {
    const [x0, y0, x1, y1] = face.box.map((share, axis) => share * (axis % 2 ? view.shown.height : view.shown.width))
    pen.strokeStyle = color(view, face.score)
    pen.lineWidth = 3
    pen.strokeRect(x0, y0, x1 - x0, y1 - y0)
    const text = `${face.id}: ${face.score === null ? "-" : face.score.toFixed(2)}`
    pen.fillStyle = pen.strokeStyle
    pen.fillRect(x0, Math.max(0, y0 - 22), pen.measureText(text).width + 10, 22)
    pen.fillStyle = "black"
    pen.fillText(text, x0 + 5, Math.max(16, y0 - 6))
  }
}

function strip(view) {
  const { width, height } = view.chart
  const pen = view.chart.getContext("2d")
  const lowest = height - BOTTOM
  const level = (score) => lowest - 4 - score * (lowest - 8)
  pen.fillStyle = "#F4F4F4"
  pen.fillRect(0, 0, width, height)
  pen.strokeStyle = "#999"
  pen.setLineDash([4, 4])
  for (const threshold of [view.data.lower, view.data.upper]) {
    pen.beginPath()
    pen.moveTo(LEFT, level(threshold))
    pen.lineTo(width, level(threshold))
    pen.stroke()
  }
  pen.setLineDash([])
  const now = Date.now()
  for (const point of view.strip) {
    pen.fillStyle = color(view, point.score)
    const share = 1 - (now - point.at) / (STRIP_S * 1000)
    pen.fillRect(LEFT + share * (width - LEFT) - 4, level(point.score) - 2, 4, 4)
  }
  const { top, bottom, past, now: present } = view.texts
  pen.fillStyle = "#333"
  pen.font = "12px sans-serif"
  pen.fillText(top, 4, 12)
  pen.fillText(bottom, 4, lowest)
  pen.fillText(past, LEFT, height - 4)
  pen.fillText(present, width - 4 - pen.measureText(present).width, height - 4)
}
