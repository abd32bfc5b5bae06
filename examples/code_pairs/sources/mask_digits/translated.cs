static string MaskDigits(string number)
{
    var chars = number.ToCharArray();
    int shown = 0;
    for (int i = chars.Length - 1; i >= 0; i--)
    {
        if (!char.IsDigit(chars[i]))
        {
            continue;
        }
        if (shown < 4)
        {
            shown++;
        }
        else
        {
            chars[i] = '*';
        }
    }
    return new string(chars);
}
