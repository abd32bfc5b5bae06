namespace Shop
{
    public class Order
    {
        public Order(int number) { Number = number; }
        public int Number { get; set; }
        public int Doubled() => Number * 2;
        public int Total { get { return Number + 1; } }
    }

    public record Line(int Count);
}
