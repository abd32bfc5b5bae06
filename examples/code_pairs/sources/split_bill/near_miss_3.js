function splitBill(totalCents, people) {
  const share = Math.floor(totalCents / people);
  const extra = totalCents - share * people;
  return [...Array(people).keys()].map((i) => share + (i === 0 ? extra : 0));
}
