function parseQuery(query) {
  const params = {};
  for (const [key, value] of new URLSearchParams(query)) {
    if (!(key in params)) {
      params[key] = [];
    }
    params[key].push(value);
  }
  return params;
}
