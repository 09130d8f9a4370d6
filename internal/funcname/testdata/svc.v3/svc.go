// Package svc has functions of every sort there are, under an import path with
// a dot in its last element, for the tests of how functions are named.
package svc

import "context"

// Fetch is the type of all functions here but the generic ones.
type Fetch = func(context.Context, int64) (int64, error)

func fetch(_ context.Context, id int64) (int64, error) { return id, nil }

// Plain is a plain function.
func Plain(_ context.Context, id int64) (int64, error) { return id, nil }

// Wrap1 and Wrap2 are nothing but calls of one function, which is inlined.
func Wrap1(ctx context.Context, id int64) (int64, error) { return fetch(ctx, id) }

// Wrap2 is like Wrap1.
func Wrap2(ctx context.Context, id int64) (int64, error) { return fetch(ctx, id) }

// Größe has a name beyond ASCII.
func Größe(_ context.Context, id int64) (int64, error) { return id, nil }

func func1(_ context.Context, id int64) (int64, error) { return id, nil }

// Func1 is a function that is called as closures are.
var Func1 Fetch = func1

// Getter is what the services have in common.
type Getter interface {
	Get(ctx context.Context, id int64) (int64, error)
}

// Service has methods on the pointer and on the value.
type Service struct{ n int64 }

// Get is a method on the pointer.
func (s *Service) Get(_ context.Context, id int64) (int64, error) { return id + s.n, nil }

// GetValue is a method on the value.
func (s Service) GetValue(_ context.Context, id int64) (int64, error) { return id + s.n, nil }

// Closure returns a closure made in a method.
//
//go:noinline
func (s *Service) Closure() Fetch {
	return func(_ context.Context, id int64) (int64, error) { return id + s.n, nil }
}

// Outer has Service's methods by embedding.
type Outer struct{ Service }

// Func is a function type with a method.
type Func Fetch

// Get calls f.
func (f Func) Get(ctx context.Context, id int64) (int64, error) { return f(ctx, id) }

// Closure returns a closure.
//
//go:noinline
func Closure(n int64) Fetch {
	return func(_ context.Context, id int64) (int64, error) { return id + n, nil }
}

// Inlined returns a closure that is made anew in the function Inlined is inlined into.
func Inlined(n int64) Fetch {
	return func(_ context.Context, id int64) (int64, error) { return id + n, nil }
}

// Nested returns a closure made in a closure.
//
//go:noinline
func Nested(n int64) Fetch {
	outer := func(m int64) Fetch {
		return func(_ context.Context, id int64) (int64, error) { return id + n + m, nil }
	}
	return outer(n)
}

// Ranged returns a closure made in the body of a range over a function.
//
//go:noinline
func Ranged(each func(yield func(int64) bool)) (last Fetch) {
	for n := range each {
		last = func(_ context.Context, id int64) (int64, error) { return id + n, nil }
	}
	return last
}

// Body hands the body of a range over a function to catch.
//
//go:noinline
func Body(catch func(body any)) {
	each := func(yield func(int64) bool) { catch(yield) }
	for range each {
		continue
	}
}

// Var is a closure in a package variable.
var Var Fetch = func(_ context.Context, id int64) (int64, error) { return id, nil }

// Init is a closure made in an init function.
var Init Fetch

func init() {
	Init = func(_ context.Context, id int64) (int64, error) { return id, nil }
}

// Generic is a generic function.
func Generic[T any](_ context.Context, id T) (T, error) { return id, nil }

// Repo is a generic type.
type Repo[T any] struct{ v T }

// Get is a method of a generic type.
func (r *Repo[T]) Get(_ context.Context, _ int64) (T, error) { return r.v, nil }

// Closure returns a closure made in a method of a generic type.
//
//go:noinline
func (r *Repo[T]) Closure() func(context.Context, int64) (T, error) {
	return func(_ context.Context, _ int64) (T, error) { return r.v, nil }
}

// Services has a generic type's methods by embedding, but is not generic.
type Services struct{ Repo[Service] }

// Local returns a method expression of a type declared in a function.
func Local() any {
	type local struct{ Service }
	return (*local).Get
}

// LocalRepo returns a value of a generic type over a type declared in a function.
func LocalRepo() any {
	type local struct{ Service }
	return &Repo[local]{}
}

// An alias, as go vet cannot stand the literal in the expression below.
type unnamed = struct{ *Service }

// Unnamed returns a method expression of a type without a name.
func Unnamed() any { return (*unnamed).Get }
