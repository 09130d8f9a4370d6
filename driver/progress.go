package driver

import "context"

type progressKey struct{}

// Progress tells whoever called a method under ctx that a part of the work is done. It is for Clear
// of a [Store], which may have much to do: a loader ends the context of a Clear that makes no
// progress for as long as zodiac.WithStoreTimeout says. Progress costs next to nothing.
func Progress(ctx context.Context) {
	if fn, ok := ctx.Value(progressKey{}).(func()); ok {
		fn()
	}
}

// WithProgress returns a context with the values and the end of ctx, for which [Progress] calls fn.
// fn is safe for concurrent use.
func WithProgress(ctx context.Context, fn func()) context.Context {
	return context.WithValue(ctx, progressKey{}, fn)
}
