pub struct Circle {
    radius: f64,
}

impl Circle {
    pub fn area(&self) -> f64 {
        3.14 * self.radius * self.radius
    }
}

pub trait Shape {
    fn name(&self) -> String {
        String::from("shape")
    }
    fn sides(&self) -> u32;
}

mod inner {
    pub fn helper() -> u32 {
        1
    }
}
