export const Button = ({ label }: { label: string }) => {
  return <button onClick={() => alert(label)}>{label}</button>;
};

function Page() {
  return <Button label="go" />;
}
