// Writes the times of a page as its reader's clock and language have them.

/** Writes every time in a part of the page. */
export function localTimes(place) {
  for (const element of place.querySelectorAll('time[datetime]')) {
    element.textContent = new Date(element.dateTime).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
  }
}
