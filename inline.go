package zodiac

// instantiate is never called. Because of it the compiler inlines small functions of other packages
// into the hits of users, among them the methods of atomic.Uint32.
//
// The code of a Loader is compiled where its types are known, which is in the user's package. A
// package's export data has the bodies of other packages' functions only if they were inlined in
// that package (cmd/compile/internal/noder, linker.exportBody). This package would inline hardly
// any: all its callers of them are generic. So it has one instance of its own, which the linker
// drops. Without it a hit takes a tenth longer.
func instantiate() { NewLoader[int, int](nil) }

var _ = instantiate
