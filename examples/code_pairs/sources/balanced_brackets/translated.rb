def balanced?(source)
  openers = { ")" => "(", "]" => "[", "}" => "{" }
  stack = []
  source.each_char do |char|
    if openers.value?(char)
      stack.push(char)
    elsif openers.key?(char)
      return false unless stack.pop == openers[char]
    end
  end
  stack.empty?
end
