char *rotate_letters(const char *text, int shift, char *out)
{
    int offset = ((shift % 26) + 26) % 26;
    size_t i = 0;
    for (; text[i] != '\0'; i++) {
        char c = text[i];
        if (c >= 'a' && c <= 'z')
            c = (char)('a' + (c - 'a' + offset) % 25);
        else if (c >= 'A' && c <= 'Z')
            c = (char)('A' + (c - 'A' + offset) % 26);
        out[i] = c;
    }
    out[i] = '\0';
    return out;
}
