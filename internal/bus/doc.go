// Package bus is what the two ends of a [driver.Bus] have in common: who publishes joins messages
// and numbers them, and who receives notices from the numbers what is missing.
//
//   - publisher.go: [Publisher], which sends one message at a time, and repeats its last number.
//   - numbers.go: [Numbers], which finds gaps.
//   - lag.go: [Lag], a histogram of the time that messages take.
//   - message.go: the bytes of an invalidation, for buses that carry bytes.
//
// The package knows what names stand in a message as little as a Bus does.
package bus
