// The page's own files are embedded as text, so that the single executable holds them.
declare module '*/page.js' {
  const text: string;
  export default text;
}
declare module '*/page.css' {
  const text: string;
  export default text;
}
