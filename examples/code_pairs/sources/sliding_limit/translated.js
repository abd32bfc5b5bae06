function acceptedRequests(limit, window, times) {
  const accepted = [];
  for (const now of times) {
    const recent = accepted.filter((time) => time > now - window);
    if (recent.length < limit) {
      accepted.push(now);
    }
  }
  return accepted;
}
