bool luhn_valid(const char *number)
{
    int total = 0, seen = 0;

    for (int i = (int)strlen(number) - 1; i >= 0; i--) {
        if (number[i] == ' ')
            continue;
        if (!isdigit((unsigned char)number[i]))
            return false;
        int digit = number[i] - '0';
        if (seen++ % 2 == 1)
            digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
        total += digit;
    }
    return seen > 1 && total % 10 == 0;
}
