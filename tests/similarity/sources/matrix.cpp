namespace maths {
class Matrix {
 public:
  Matrix() : rows_(0) {}
  ~Matrix() { release(); }
  bool operator==(const Matrix& other) const { return rows_ == other.rows_; }
  int rows() const;

 private:
  int rows_;
};
}  // namespace maths

template <typename T>
T larger(T a, T b) {
  return a > b ? a : b;
}

int maths::Matrix::rows() const {
  return rows_;
}
