long loan_payment(long principal_cents, double yearly_percent, int months)
{
    double rate = yearly_percent / 100.0;

    if (rate == 0.0)
        return lround((double)principal_cents / months);
    return lround(principal_cents * rate / (1.0 - pow(1.0 + rate, -months)));
}
