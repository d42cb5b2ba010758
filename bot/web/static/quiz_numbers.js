// Points as the chats write them.

// "+84", "−1,560", "0".
export function signed(points) {
  const whole = Math.round(points);
  return (whole > 0 ? "+" : whole < 0 ? "−" : "") + Math.abs(whole).toLocaleString(document.documentElement.lang);
}
