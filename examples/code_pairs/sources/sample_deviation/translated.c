double sample_deviation(const double *values, int n)
{
    double sum = 0.0, squares = 0.0;

    if (n < 2)
        return 0.0;
    for (int i = 0; i < n; i++)
        sum += values[i];
    for (int i = 0; i < n; i++) {
        double distance = values[i] - sum / n;
        squares += distance * distance;
    }
    return sqrt(squares / (n - 1));
}
