<?php
namespace Web;

function escape($text) {
    return htmlspecialchars($text);
}

class Page {
    public function render() {
        return '<p>' . escape($this->text) . '</p>';
    }
}
?>
<p>plain</p>
