static string HumanSize(long size)
{
    if (size < 1024)
    {
        return $"{size} B";
    }
    string[] units = { "KiB", "MiB", "GiB", "TiB" };
    double value = size / 1024.0;
    int index = 0;
    while (value >= 1024 && index < units.Length - 1)
    {
        value /= 1024;
        index++;
    }
    return value.ToString("F1", CultureInfo.InvariantCulture) + " " + units[index];
}
