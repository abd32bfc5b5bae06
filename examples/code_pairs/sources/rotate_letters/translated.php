function rotate_letters(string $text, int $shift): string
{
    $result = '';
    foreach (str_split($text) as $char) {
        if (ctype_alpha($char)) {
            $first = ctype_upper($char) ? ord('A') : ord('a');
            $moved = ((ord($char) - $first + $shift) % 26 + 26) % 26;
            $char = chr($first + $moved);
        }
        $result .= $char;
    }
    return $result;
}
