static double MaxDrawdown(IEnumerable<double> values)
{
    double peak = double.NegativeInfinity;
    double worst = 0.0;
    foreach (double value in values)
    {
        peak = Math.Max(peak, value);
        worst = Math.Max(worst, (peak - value) / peak);
    }
    return worst;
}
