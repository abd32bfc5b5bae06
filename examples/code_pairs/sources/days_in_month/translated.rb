def days_in_month(year, month)
  case month
  when 2
    leap = (year % 4).zero? && (!(year % 100).zero? || (year % 400).zero?)
    leap ? 29 : 28
  when 4, 6, 9, 11 then 30
  else 31
  end
end
