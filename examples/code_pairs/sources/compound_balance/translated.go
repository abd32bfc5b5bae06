func YearlyBalances(startCents int, percent float64, depositCents, years int) []int {
	balances := make([]int, 0, years)
	balance := startCents
	for year := 0; year < years; year++ {
		interest := int(float64(balance) * percent / 100)
		balance += interest + depositCents
		balances = append(balances, balance)
	}
	return balances
}
