package zodiac

import "github.com/zodiac-go/zodiac/driver"

// A Store keeps records where other processes find them: see [WithStore]. Packages redisstore and
// memstore have one each. Package [driver] says what a Store has to do, and package storetest
// checks it.
type Store = driver.Store

// A Guard lends the right to fetch a key from somewhere else than the [Store]: see [WithGuard] and
// package lease. Package [driver] says what a Guard has to do.
type Guard = driver.Guard
