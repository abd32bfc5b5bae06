function buildUrl(base, params) {
  const pairs = Object.keys(params)
    .filter((key) => params[key] !== null)
    .flatMap((key) =>
      [params[key]].flat().map((v) => `${encodeURIComponent(key)}=${encodeURIComponent(v)}`),
    );
  if (pairs.length === 0) {
    return base;
  }
  return base + (base.includes("?") ? "&" : "?") + pairs.join("&");
}
