// The live camera: a preview, and the frame that is sent.

const video = document.querySelector("#camera");

export async function startCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error(
      "Browsers allow a live camera only over https or on the same machine; upload a photo instead.");
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: { ideal: "environment" }, width: { ideal: 1920 }, height: { ideal: 1080 } },
    });
  } catch (error) {
    throw new Error(error.name === "NotAllowedError"
      ? "The browser was not allowed to use the camera." : "There is no camera that can be used.");
  }
  const facing = stream.getVideoTracks()[0].getSettings().facingMode;
  // A person in front of the own screen expects a mirror; the photo itself is never mirrored.
  video.classList.toggle("mirrored", facing !== "environment");
  video.srcObject = stream;
  video.hidden = false;
  await video.play();
}

// Ends the camera; returns its last frame as the camera saw it, or null if it was not running.
export function stopCamera() {
  const stream = video.srcObject;
  if (!stream) return null;
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  for (const track of stream.getTracks()) track.stop();
  video.srcObject = null;
  video.hidden = true;
  if (!canvas.width) return null;
  return new Promise(done => canvas.toBlob(done, "image/jpeg", 0.95));
}
