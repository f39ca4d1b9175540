// The sounds of the phone in the browser, made by the browser itself: no file is loaded.
"use strict";
const PhoneRing = (() => {
  // Two tones of a European ringing: Hz, and seconds on and off.
  const RINGING = {tones: [440, 480], on: 1, off: 3};
  const RINGBACK = {tones: [425], on: 1, off: 4};
  let context = null;
  let timer = 0;

  function burst(sound) {
    const gain = context.createGain();
    gain.gain.value = 0.08;
    gain.connect(context.destination);
    for (const frequency of sound.tones) {
      const tone = context.createOscillator();
      tone.frequency.value = frequency;
      tone.connect(gain);
      tone.start();
      tone.stop(context.currentTime + sound.on);
    }
    timer = setTimeout(burst, (sound.on + sound.off) * 1000, sound);
  }

  function start(sound) {
    stop();
    try {
      context = new AudioContext();
      burst(sound);
    } catch {
      context = null;  // a browser without sound still shows the call
    }
  }

  function stop() {
    clearTimeout(timer);
    context?.close();
    context = null;
  }

  return {ring: () => start(RINGING), ringBack: () => start(RINGBACK), stop};
})();
