uint32_t adler_checksum(const char *text)
{
    uint32_t a = 1, b = 0;

    while (*text) {
        a = (a + (unsigned char)*text++) % 65521;
        b = (b + a) % 65521;
    }
    return (b << 16) | a;
}
