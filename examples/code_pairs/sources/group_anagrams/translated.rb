def group_anagrams(words)
  words.group_by { |word| word.chars.sort.join }.values
end
