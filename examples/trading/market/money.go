package market

import (
	"errors"
	"fmt"

	"github.com/shopspring/decimal"
)

// PricePlaces is how many decimal places a price may have, and how many an average price is rounded to (half away from zero).
const PricePlaces = 8

// maxNumber bounds the text of a number: enough for every valid price, too short for an expensive one.
const maxNumber = 40

var (
	errNotNumber = errors.New("is not a decimal number")
	errTooExact  = fmt.Errorf("has more than %d decimal places", PricePlaces)
	errTooLarge  = errors.New("is out of range")
)

// maxPrice is the highest limit an order may have. A function, because a decimal cannot be a constant.
func maxPrice() decimal.Decimal { return decimal.New(100_000, 0) }

// ParseNumber reads a decimal number exactly, in plain or scientific notation as JSON writes it. It refuses what cannot be a price or
// a quantity: more than PricePlaces decimal places, absurd magnitudes, anything that is not a number.
func ParseNumber(text string) (decimal.Decimal, error) {
	if len(text) > maxNumber {
		return decimal.Decimal{}, errTooLarge
	}
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return decimal.Decimal{}, errNotNumber
		}
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		return decimal.Decimal{}, errNotNumber
	}
	return d, sane(d)
}

// ParseWhole reads a whole number exactly: "100", "1e2" and "100.0" are the same, "1.5" is refused.
func ParseWhole(text string) (int64, error) {
	d, err := ParseNumber(text)
	switch {
	case errors.Is(err, errTooExact), err == nil && !d.IsInteger():
		return 0, errors.New("is not a whole number")
	case err != nil:
		return 0, err
	}
	if whole := d.BigInt(); whole.IsInt64() {
		return whole.Int64(), nil
	}
	return 0, errTooLarge
}

// sane keeps arithmetic cheap: comparing 1 with 1e1000000 would write out a million digits.
func sane(d decimal.Decimal) error {
	switch {
	case d.IsZero() && d.Exponent() >= -maxNumber && d.Exponent() <= maxNumber:
		return nil
	case d.Exponent() > maxNumber || d.Coefficient().BitLen() > 4*maxNumber:
		return errTooLarge
	case d.Exponent() < -maxNumber || !d.Equal(d.Truncate(PricePlaces)):
		return errTooExact
	}
	return nil
}

// valueOf is price × quantity, exact.
func valueOf(price decimal.Decimal, quantity int64) decimal.Decimal {
	return price.Mul(decimal.NewFromInt(quantity))
}

// average is value / quantity, rounded to PricePlaces. Quantity is positive.
func average(value decimal.Decimal, quantity int64) decimal.Decimal {
	return value.DivRound(decimal.NewFromInt(quantity), PricePlaces)
}
