function despike(signal, width) {
  const half = Math.floor(width / 2);
  return signal.map((_, i) => {
    const window = signal.slice(Math.max(0, i - half), i + half + 1).sort((a, b) => a - b);
    const n = window.length;
    return (window[Math.floor((n - 1) / 2)] + window[Math.floor(n / 2)]) / 2;
  });
}
