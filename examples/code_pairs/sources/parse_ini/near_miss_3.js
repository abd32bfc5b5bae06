function parseIni(text) {
  const config = {};
  let section = "";
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line === "" || line[0] === "#" || line[0] === ";") continue;
    if (line.startsWith("[") && line.endsWith("]")) {
      section = line.slice(1, -1);
      continue;
    }
    const equals = line.indexOf("=");
    if (equals < 0) continue;
    config[section] ??= {};
    config[section][line.slice(0, equals).trim()] = line.slice(equals + 1).trim();
  }
  return config;
}
