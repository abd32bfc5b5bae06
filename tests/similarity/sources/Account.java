package bank;

public class Account<T> {
    private int balance;

    public Account(int balance) {
        this.balance = balance;
    }

    @Override
    public String toString() {
        return "Account " + balance;
    }

    interface Listener {
        void changed(int balance);
    }
}
