function roman_to_int(string $numeral): int
{
    $values = ['I' => 1, 'V' => 5, 'X' => 10, 'L' => 50, 'C' => 100, 'D' => 500, 'M' => 1000];
    $total = 0;
    $previous = 0;
    foreach (array_reverse(str_split($numeral)) as $letter) {
        if ($letter === '') {
            continue;
        }
        $value = $values[$letter];
        $total += $value < $previous ? -$value : $value;
        $previous = max($previous, $value);
    }
    return $total;
}
