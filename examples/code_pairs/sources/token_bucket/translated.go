func AllowedRequests(capacity, rate float64, arrivals []float64) []bool {
	tokens, last := capacity, 0.0
	decisions := make([]bool, 0, len(arrivals))
	for _, now := range arrivals {
		tokens = math.Min(capacity, tokens+(now-last)*rate)
		last = now
		ok := tokens >= 1
		if ok {
			tokens--
		}
		decisions = append(decisions, ok)
	}
	return decisions
}
