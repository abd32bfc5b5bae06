function flatten_keys(array $tree, string $prefix = ''): array
{
    $flat = [];
    foreach ($tree as $key => $value) {
        $path = $prefix === '' ? $key : "$prefix.$key";
        if (is_array($value) && !array_is_list($value)) {
            $flat = array_merge($flat, flatten_keys($value, $path));
        } elseif ($value !== []) {
            $flat[$path] = $value;
        }
    }
    return $flat;
}
