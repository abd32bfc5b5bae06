char *encode_runs(const char *text, char *out)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; text[i] != '\0';) {
        size_t run = 1;
        while (text[i + run] == text[i])
            run++;
        used += (size_t)sprintf(out + used, "%zu%c", run, text[i]);
        i += run;
    }
    return out;
}
