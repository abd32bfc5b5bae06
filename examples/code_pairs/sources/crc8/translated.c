uint8_t crc8(const uint8_t *data, size_t length)
{
    uint8_t crc = 0;

    while (length--) {
        crc ^= *data++;
        for (int bit = 0; bit < 8; bit++)
            crc = (uint8_t)((crc << 1) ^ ((crc >> 7) * 0x07));
    }
    return crc;
}
