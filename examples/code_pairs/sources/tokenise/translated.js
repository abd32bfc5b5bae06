function tokenise(expression) {
  const tokens = [];
  let rest = expression;
  while (rest.length > 0) {
    let match;
    if ((match = rest.match(/^\s+/))) {
      // blanks separate, they are no tokens
    } else if ((match = rest.match(/^\d[\d.]*/))) {
      tokens.push(["num", match[0]]);
    } else if ((match = rest.match(/^[A-Za-z_]\w*/))) {
      tokens.push(["name", match[0]]);
    } else if ((match = rest.match(/^[-+*\/()]/))) {
      tokens.push(["op", match[0]]);
    } else {
      match = [rest[0]];
      tokens.push(["bad", rest[0]]);
    }
    rest = rest.slice(match[0].length);
  }
  return tokens;
}
