func MovingAverage(prices []float64, window int) []float64 {
	averages := []float64{}
	total := 0.0
	for i, price := range prices {
		total += price
		if i >= window {
			total -= prices[i-window]
		}
		if i >= window-1 {
			averages = append(averages, total/float64(window))
		}
	}
	return averages
}
