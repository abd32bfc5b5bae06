def split_bill(total_cents, people)
  share, extra = total_cents.divmod(people)
  Array.new(people) { |person| person < extra ? share + 1 : share }
end
