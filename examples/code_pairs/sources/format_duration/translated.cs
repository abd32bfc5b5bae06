static string FormatDuration(int seconds)
{
    int hours = seconds / 3600;
    int minutes = seconds % 3600 / 60;
    int rest = seconds % 60;
    var parts = new List<string>();
    if (hours > 0)
    {
        parts.Add($"{hours}h");
    }
    if (minutes > 0)
    {
        parts.Add($"{minutes}m");
    }
    if (rest > 0 || parts.Count == 0)
    {
        parts.Add($"{rest}s");
    }
    return string.Join(" ", parts);
}
