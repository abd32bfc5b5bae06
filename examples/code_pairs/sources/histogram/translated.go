func Histogram(values []float64, low, high float64, bins int) []int {
	counts := make([]int, bins)
	width := (high - low) / float64(bins)
	for _, value := range values {
		if value < low || value > high {
			continue
		}
		index := int((value - low) / width)
		if index == bins {
			index--
		}
		counts[index]++
	}
	return counts
}
