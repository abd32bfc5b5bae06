function addMonths(isoDate, months) {
  const [year, month, day] = isoDate.split("-").map(Number);
  const index = year * 12 + (month - 1) + months;
  const newYear = Math.floor(index / 12);
  const newMonth = index - newYear * 12;
  const last = new Date(Date.UTC(newYear, newMonth + 1, 0)).getUTCDate();
  const pad = (n, width) => String(n).padStart(width, "0");
  return `${pad(newYear, 4)}-${pad(newMonth + 1, 2)}-${pad(Math.min(day, last), 2)}`;
}
