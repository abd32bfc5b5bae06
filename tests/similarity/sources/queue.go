package queue

type Queue[T any] struct {
	items []T
}

type Sizer interface {
	Size() int
}

func New() *Queue[int] {
	return &Queue[int]{}
}

func (q *Queue[T]) Push(item T) {
	q.items = append(q.items, item)
}
