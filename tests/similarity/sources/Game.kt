package game

class Player(val name: String) {
    fun greet(): String {
        return "hello $name"
    }

    companion object {
        fun nobody() = Player("")
    }
}

object Registry {
    fun clear() {}
}

fun twice(number: Int) = number * 2
