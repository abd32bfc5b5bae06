func GlobMatch(pattern, text string) bool {
	reachable := make([]bool, len(text)+1)
	reachable[0] = true
	for i := 0; i < len(pattern); i++ {
		next := make([]bool, len(text)+1)
		for j := 0; j <= len(text); j++ {
			switch {
			case pattern[i] == '*':
				next[j] = reachable[j] || (j > 0 && next[j-1])
			case j > 0 && (pattern[i] == '?' || pattern[i] == text[j-1]):
				next[j] = reachable[j-1]
			}
		}
		reachable = next
	}
	return reachable[len(text)]
}
